"""Pure machines over text: chat template, prompt, detokenizer, stop strings. No I/O."""
