"""scikit-learn's own tests of its mixtures, on the estimator that takes its place."""

import numpy as np
import pytest
import sklearn.mixture.tests.test_gaussian_mixture as theirs

import mixjax.sklearn

# Of private functions that do not change, of how often one of them is called, and of arrays of
# other libraries.
NOT_OURS = ("array_api", "suffstat", "log_det_cholesky", "does_not_estimate")


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    monkeypatch.setattr(theirs, "GaussianMixture", mixjax.sklearn.GaussianMixture)


@pytest.fixture(params=["float32", "float64"])
def global_dtype(request):
    return np.dtype(request.param)


@pytest.fixture(params=[0, 1])
def global_random_seed(request):
    return request.param


pytestmark = pytest.mark.filterwarnings("default")
globals().update(
    {
        name: test
        for name, test in vars(theirs).items()
        if name.startswith("test_") and not any(word in name for word in NOT_OURS)
    }
)
