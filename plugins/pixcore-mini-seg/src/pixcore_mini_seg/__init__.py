"""The models mini-seg: mini with a [SEG] token and a mask decoder, trained with masks on mini-world."""
