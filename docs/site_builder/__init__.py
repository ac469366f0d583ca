"""The site of docs/: pages, lessons with their pictures, reference. Run as ``make docs``."""
