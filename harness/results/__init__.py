"""Records, the tables made from them and what an audit of printed tables finds."""
