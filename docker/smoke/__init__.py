"""The checks of `gpu_smoke.py`, and what runs and supervises them."""
