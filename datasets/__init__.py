"""What lies on disk and how it is read.

Symbols used for shapes, here and in every other package:

    B batch        T time (rows of a trajectory file, or steps)   L window length
    N frames       H, W frame height and width                    E or D embedding size
    A action size  O observation size                             P physics-state size
    S x K stochastic latents: S variables of K classes
    deter          deterministic recurrent state                  F feature = deter + S * K

Rows of a trajectory are "what arrives together": `observation[t]`, `reward[t]` and `discount[t]` arrive with frame t,
and `action[t]` is the action that led to it (zeros where `is_first[t]`). Frames and embeddings use the same row index.
"""
