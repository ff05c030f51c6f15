from cnnref import (
    affine_activation_backward as affine_activation_backward,
)
from cnnref import (
    affine_activation_forward as affine_activation_forward,
)
from cnnref import (
    affine_backward as affine_backward,
)
from cnnref import (
    affine_forward as affine_forward,
)
from cnnref import (
    arr2col as arr2col,
)
from cnnref import (
    col2arr as col2arr,
)
from cnnref import (
    conv_backward as conv_backward,
)
from cnnref import (
    conv_forward as conv_forward,
)
from cnnref import (
    conv_single_step as conv_single_step,
)
from cnnref import (
    create_mask_from_window as create_mask_from_window,
)
from cnnref import (
    cross_entropy_backward as cross_entropy_backward,
)
from cnnref import (
    cross_entropy_cost as cross_entropy_cost,
)
from cnnref import (
    distribute_value as distribute_value,
)
from cnnref import (
    pad3d as pad3d,
)
from cnnref import (
    pad3d_backward as pad3d_backward,
)
from cnnref import (
    pool_backward as pool_backward,
)
from cnnref import (
    pool_forward as pool_forward,
)
from cnnref import (
    relu as relu,
)
from cnnref import (
    relu_backward as relu_backward,
)
from cnnref import (
    sigmoid as sigmoid,
)
from cnnref import (
    sigmoid_backward as sigmoid_backward,
)
from cnnref import (
    softmax as softmax,
)
from cnnref import (
    softmax_backward as softmax_backward,
)
from cnnref import (
    softmax_cross_entropy_backward as softmax_cross_entropy_backward,
)
