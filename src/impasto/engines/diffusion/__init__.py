"""Engine ``diffusion``: a diffusion model paints the content, a reference picture gives the style (IP-Adapter).

Nothing is imported here: who does not ask for the engine pays nothing for it, and ``registry`` works without the extra.

Source: Ye, Zhang, Liu, Han, Yang, "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion
Models",
2023; Wang, Spinelli, Wang, Bai, Qin, Chen, "InstantStyle: Free Lunch towards Style-Preserving in Text-to-Image
Generation", 2024 (which blocks carry the style).
"""
