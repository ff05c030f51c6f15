"""The loss of logits: `log_softmax` and the mean of its logarithms at the labels, in float32 for half arrays.

Source: ``torch.nn.functional.cross_entropy``; learners call it ``softmax_loss``. It is not in the post.
"""

from cnnref.caches import CrossEntropyCache
from cnnref.checks.fields import named_tuple
from cnnref.checks.half import widened
from cnnref.checks.loss import check_cross_entropy


def compose(functions, loss_of_logarithms):
    """The function, by name, made from `softmax` and `log_softmax` in `functions`."""
    softmax, log_softmax = functions["softmax"], functions["log_softmax"]

    def softmax_cross_entropy(X, Y, label_smoothing=0.0, ignore_index=None):
        """Mean cross entropy of logits and class indices, as `cross_entropy_cost` of `softmax`.

        The logarithm of a probability next to 1, or too small for its dtype, keeps its digits. The gradient
        is that of `softmax_cross_entropy_backward`.

        Parameters
        ----------
        X : array_like, shape (m, n)
            Logits of each class; half and float32 keep their dtype, everything else computes in float64.
        Y : array_like of int, shape (m,) or (m, 1)
            Class indices from 0 to n - 1.
        label_smoothing : float, optional
            The part of each target, from 0 to 1, that all classes share equally.
        ignore_index : int, optional
            A label, a class or any other integer, whose rows do not count.

        Returns
        -------
        loss : float
            The mean over the rows that count: without smoothing, of ``-log_softmax(X)[i, Y[i]]``; NaN if no
            row counts, as in PyTorch.
        cache : CrossEntropyCache
            `AL`, the probabilities ``softmax(X)``, and `Y_index`, an (m, 2) array of (row, label). It
            does not hold the options: the backward function is given them again.

        Raises
        ------
        TypeError
            If `X` does not hold floats of 16 to 64 bits, integers or booleans, `Y` or `ignore_index` no
            integers, or `label_smoothing` is no number.
        ValueError
            If a shape is wrong, or a class index or `label_smoothing` is out of range.

        References
        ----------
        Szegedy et al. 2015, "Rethinking the Inception Architecture", section 7, for the smoothing.

        Examples
        --------
        >>> loss, cache = cnnref.softmax_cross_entropy([[0.0, 0.0], [0.0, 1000.0]], [0, 1])
        >>> round(loss, 4)
        0.3466
        >>> cnnref.softmax_cross_entropy_backward(cache)
        array([[-0.25,  0.25],
               [ 0.  ,  0.  ]])
        """
        x, _, index, *options = check_cross_entropy(
            "softmax_cross_entropy", "X", X, Y, None, label_smoothing, ignore_index
        )
        loss = loss_of_logarithms(log_softmax(widened(x))[0], index, *options)
        return loss, named_tuple(CrossEntropyCache, (softmax(x)[0], index))

    return {"softmax_cross_entropy": softmax_cross_entropy}
