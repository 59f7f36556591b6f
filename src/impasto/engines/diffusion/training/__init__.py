"""Trains a LoRA on pictures of one style (DreamBooth).

``pictures.py`` finds pictures, captions and sizes, ``encoded.py`` what the model makes of them, ``objective.py`` is the
loss, ``adapter.py`` the LoRA, ``trainer.py`` the loop, ``samples.py`` paints with what is being trained, ``run.py`` is
the whole.

Source: Ruiz et al., "DreamBooth: Fine Tuning Text-to-Image Diffusion Models for Subject-Driven Generation", CVPR 2023;
Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
"""
