"""The 40 nastiest cases of capturing a model, a test per case, and the model compared in full around every capture."""
