"""What the views show, outside of a notebook: pages and pictures. No widgets."""
