"""The checks of `gpu_smoke.py`, and the processes that run and supervise them."""
