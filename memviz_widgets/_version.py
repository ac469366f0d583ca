"""The one version number of the project; js/package.json and js/src/version.ts are compared with it by a test."""

__version__ = "0.1.0"
