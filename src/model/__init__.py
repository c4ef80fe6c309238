"""Loading, LoRA, merging and running Qwen-VL models."""
