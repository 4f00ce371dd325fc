"""fedcore: train one medical-imaging model in many hospitals while no image leaves any of them."""

__version__ = "0.1.0"
