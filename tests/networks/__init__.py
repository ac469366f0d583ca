"""The networks of the zoo: what they reach, that they can be made again, and what the cache finds in them."""
