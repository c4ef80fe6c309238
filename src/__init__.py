"""County land-use monitoring and decision support on Qwen2.5-VL."""
