"""Pages and pictures that live without a notebook: built from plain data, without a widget.

In: widget state as plain data, the pages of frames that a view shows. Out: one file.
"""
