"""Small random transformers models, and what a capture of each of them must give."""
