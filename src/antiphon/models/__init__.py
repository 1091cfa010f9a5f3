"""Where models come from: catalogue, fetch with digests, GGUF to runnable folder, tokenizer, template."""
