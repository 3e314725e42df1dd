"""How many programs the tests of a file compile: most of the suite's time is compiling.

A file whose tests compile many programs each uses shapes of its own where shared ones would do, or
calls functions outside of ``jit`` one operation after the other.
"""

from collections import Counter

import jax

# Programs a test compiles on average, and where it is more by intent: each question asked eagerly
# under jax_debug_nans; streams of many shapes; programs themselves.
MOST = 20
MORE = {"test_debug_nans.py": 60, "test_stepwise.py": 30, "test_programs.py": 30}
# A file of which fewer tests ran says nothing: the first test compiles what the others share.
FEWEST_TESTS = 10

n_compiled = 0


def _heard(event: str, seconds: float, **more: object) -> None:
    global n_compiled
    n_compiled += event.endswith("backend_compile_duration")


def count():
    """Begin to count in this process."""
    jax.monitoring.register_event_duration_secs_listener(_heard)


class Tally:
    """The numbers of tests and of programs of each file."""

    def __init__(self):
        self.tests, self.programs = Counter(), Counter()

    def add(self, path, n_programs):
        name = path.rpartition("/")[2]
        self.tests[name] += 1
        self.programs[name] += n_programs

    def too_many(self):
        """A line for each file that compiles more than it should."""
        return [
            f"{name}: {self.programs[name]} programs for {n} tests, at most {most} each are allowed"
            for name, n in sorted(self.tests.items())
            if n >= FEWEST_TESTS and self.programs[name] > (most := MORE.get(name, MOST)) * n
        ]
