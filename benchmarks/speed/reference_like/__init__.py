"""The published algorithm of DAFNet written the plain way: what ours is measured against.

Each step does what the description says where it says it, with no regard for time or memory.
These choices make it plain; :mod:`dafnet_plugin` makes the other one, with the same result:

- edits are padded to the longest, and the whole network runs on the padding, too
- of past edits the representations are kept, and all their keys and values projected anew with
  every call
- a training step takes the signals again, although the unedited model never changes
- each batch of the losses is back-propagated through the whole network
- signals come from a second copy of the model, with the gradients of all of its weights
- logits, their softmax and their KL are computed at every position
- an edited module adds ``x @ update`` to its output instead of having it in its weight

Where a description leaves a choice, the faster way was taken, so that ours is not flattered: the
network runs over the new edits only, not over the sequence from its start; one call may have many
edits; the edited model computes no gradients of its own weights; batches of the losses are ours.
Parameters have the names that ours have, so that both can have the same values.
"""

from benchmarks.speed.reference_like.method import Memory, ReferenceLike, question_loss
from benchmarks.speed.reference_like.network import PlainNetwork

__all__ = ["Memory", "PlainNetwork", "ReferenceLike", "question_loss"]
