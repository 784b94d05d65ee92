"""The only training loop and the only evaluation loop, and what they need."""
