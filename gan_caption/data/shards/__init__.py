"""Data too large for a disk of files: samples in tar shards, as webdataset lays them out, local or by URL.

A shard is a plain tar. Members with one name but for their endings are a sample: an image (`000012.jpg`) or features
of an encoder (`000012.npz`), and captions (`000012.json` with "captions", or `000012.txt`, one a line).

How it works:

- One pass over each shard (`scanning`) notes where every sample's bytes lie, and its captions, in a small file in the
  cache (`index`). All else follows from that: any sample can be read alone, so that `data=shards` is a corpus like any
  other (`corpus`), and batches, resuming, rewards, the feature cache and evaluation work unchanged.
- The order of an epoch (`order`) is computed from the seed, the epoch and the shards' sizes, without reading a sample:
  shards in random order, a window of them at a time, and in random order the samples of a window. Only row numbers are
  shuffled, not images, so memory does not depend on what an image weighs; a position is a number, and resuming reads
  nothing that was read before. Training and `stream` have this order.
- A shard by URL is fetched whole when a window comes to it, and kept while there is room (`places`): as the order stays
  within a window of shards, a disk that holds two windows holds enough.
- `stream` is for loops of one's own: an iterable data set whose epoch is divided over ranks and workers.

The other plan, a stream through a shuffle buffer as webdataset's own pipelines are, needs no index, but buffers encoded
images, resumes by reading again what it had read, divides by whole shards, so that ranks end an epoch at different
times, and has no rows, by which rewards and evaluation know an image's references.

Of webdataset itself come the rule by which members make a sample and the writer. Its openers and decoders are not used:
they run shell commands (`pipe:`) and unpickle.
"""
