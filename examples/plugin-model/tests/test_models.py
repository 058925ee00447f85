"""Both models keep to what Gauntlet relies on."""

from trainables.conformance import ModelConformance


class TestCentroid(ModelConformance):
    name = "centroid"


class TestLinearSCVI(ModelConformance):
    name = "linear_scvi"
    params = {"n_latent": 3, "max_epochs": 2}
    requires = ("scvi",)
    ordered = "minibatches are drawn by the row"
    tolerance = 1e-3
