"""The affine layer followed by an activation: the bits are those of calling both, in float32 for half arrays.

Source: "R for Deep Learning (IV)", ``affine_activation_forward``, ``affine_activation_backward``.
"""

from cnnref.caches import AffineActivationCache, AffineCache
from cnnref.checks.elements import check_activation_backward
from cnnref.checks.fields import named_tuple
from cnnref.checks.half import in_single, narrowed, widened
from cnnref.checks.pool_affine import check_activation_name, check_affine_backward, check_affine_forward
from cnnref.checks.pool_affine import check_affine_activation_cache as check_cache

FORWARD = "affine_activation_forward"
BACKWARD = "affine_activation_backward"


def compose(functions):
    """The two functions, by name, made from those of the affine layer and the activations in `functions`."""
    affine_forward, affine_backward = functions["affine_forward"], functions["affine_backward"]
    activations = {name: (functions[name], functions[f"{name}_backward"]) for name in ("relu", "sigmoid")}

    def affine_activation_forward(A_prev, W, b, activation="relu"):
        """Affine layer and activation: ``activation(A_prev W + b)``.

        Parameters
        ----------
        A_prev : array_like, shape (m, n_prev)
            Rows; half and float32 keep their dtype if all arrays have it, everything else computes in
            float64.
        W : array_like, shape (n_prev, n)
            Weights.
        b : array_like, shape (1, n)
            Biases.
        activation : {"relu", "sigmoid", "NULL"} or None, optional
            What follows the affine layer; nothing for "NULL" or None.

        Returns
        -------
        A : ndarray, shape (m, n)
            The activations.
        cache : AffineActivationCache
            The cache of the affine layer, and that of the activation (without one, the affine cache again);
            the scores in it are float32 for half arrays.

        Raises
        ------
        TypeError
            If an array does not hold floats of 16 to 64 bits, integers or booleans, or `activation` is no
            string.
        ValueError
            If the shapes do not fit, or `activation` is unknown.
        MemoryError
            If the result cannot be allocated.

        References
        ----------
        "R for Deep Learning (IV)", ``affine_activation_forward``.

        Examples
        --------
        >>> A, cache = cnnref.affine_activation_forward([[1, 2]], [[1, -1], [0, 0]], [[0, 0]], "relu")
        >>> A
        array([[1., 0.]])
        """
        name = check_activation_name(FORWARD, activation)
        A_prev, W, b = check_affine_forward(A_prev, W, b, FORWARD)
        if A_prev.itemsize == 2:
            A, cache = affine_activation_forward(*widened((A_prev, W, b)), activation)
            affine_cache = AffineCache(A_prev, W, b)
            activation_cache = affine_cache if name is None else cache.activation_cache
            return narrowed(A, A_prev), AffineActivationCache(affine_cache, activation_cache)
        Z, affine_cache = affine_forward(A_prev, W, b)
        if name is None:
            return Z, named_tuple(AffineActivationCache, (affine_cache, affine_cache))
        A, activation_cache = activations[name][0](Z)
        return A, named_tuple(AffineActivationCache, (affine_cache, activation_cache))

    def affine_activation_backward(dA, cache, activation):
        """Gradient of `affine_activation_forward`.

        Parameters
        ----------
        dA : array_like, shape (m, n)
            Gradient with respect to the activations.
        cache : AffineActivationCache
            As `affine_activation_forward` returned it; or a tuple or mapping with its fields.
        activation : {"relu", "sigmoid", "NULL"} or None
            The activation that the forward function was given.

        Returns
        -------
        dA_prev : ndarray, shape (m, n_prev)
        dW : ndarray, shape (n_prev, n)
        db : ndarray, shape (1, n)

        Raises
        ------
        TypeError
            If an array does not hold floats of 16 to 64 bits, integers or booleans, or `cache` or
            `activation` has a wrong type.
        ValueError
            If the shapes do not fit, or `activation` is unknown.
        MemoryError
            If the result cannot be allocated.

        References
        ----------
        "R for Deep Learning (IV)", ``affine_activation_backward``.

        Examples
        --------
        >>> A, cache = cnnref.affine_activation_forward([[1, 2]], [[1, -1], [0, 0]], [[0, 0]], "relu")
        >>> dA_prev, dW, db = cnnref.affine_activation_backward(np.ones_like(A), cache, "relu")
        >>> dW
        array([[1., 0.],
               [2., 0.]])
        """
        name = check_activation_name(BACKWARD, activation)
        affine_cache, activation_cache = check_cache(BACKWARD, cache)
        dA, A_prev, W, b = check_affine_backward(dA, affine_cache, BACKWARD, "dA")
        like, affine_cache = dA, (A_prev, W, b)  # what was checked
        if name is not None:
            dA, Z = check_activation_backward(BACKWARD, dA, activation_cache, "cache.activation_cache")
        if like.itemsize == 2 and dA.itemsize < 8:  # Z is float32 there
            Z = None if name is None else Z
            return in_single(affine_activation_backward, (dA, (affine_cache, Z), name), like)
        if name is not None:
            dA = activations[name][1](dA, Z)
        return affine_backward(dA, affine_cache)

    return {FORWARD: affine_activation_forward, BACKWARD: affine_activation_backward}
