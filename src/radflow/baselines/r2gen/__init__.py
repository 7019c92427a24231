"""R2Gen: a Transformer whose decoder is steered by a relational memory (Chen et al., EMNLP 2020)."""
