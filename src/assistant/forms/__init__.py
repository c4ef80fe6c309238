"""One file per kind of answer: its title, examples, and its sentences in Chinese and English."""
