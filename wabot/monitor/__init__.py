"""Whether wabot is well: what is watched, what is wrong, and what to do about it."""
