"""Flags with which XLA compiles quickly: most of a test is compiling.

The last stage does without its optimizations, which in tests cost more than they save, without the
emitters that take most of the time to compile, and without threads, from which two workers gain
nothing. What is computed stays the same but for rounding.

    XLA_FLAGS="$(python tests/haste.py)" python benchmarks/em.py --smoke
"""

import importlib.metadata

FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
# XLA stops at a flag that it does not know; this one went after jaxlib 0.10.
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
    FLAGS += " --xla_cpu_use_fusion_emitters=false"

if __name__ == "__main__":
    print(FLAGS)
