"""What a forward pass leaves behind for the backward pass."""

from torch.autograd.graph import saved_tensors_hooks


def saved_bytes(forward):
    """Bytes that autograd keeps after `forward()`, each storage counted once, parameters too."""
    storages = {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes(), tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    total = sum(nbytes for nbytes, _ in storages.values())
    del result
    return total
