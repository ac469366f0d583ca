"""The tests; folders mirror memviz_widgets/, browser/ drives a real JupyterLab."""
