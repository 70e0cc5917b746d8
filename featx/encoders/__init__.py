"""Frozen image-text models: the one place that knows the libraries they come from."""

import warnings

# OpenAI's clip, which is imported inside the functions that need it, imports pkg_resources, which warns about itself.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
