"""Numbers for people, read from the data; nothing here changes any of it."""
