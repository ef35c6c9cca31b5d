//! Pure: what to do with an answer of the cluster, from facts alone.
