"""Values from elsewhere into a network's variables."""


def assign(model, values):
    """Sets variables of a network.

    Args:
        model: FCIS, built.
        values: a dict from paths of variables to arrays of their shapes; the other variables stay as they are.
    """
    variables = {variable.path: variable for variable in model.variables}
    for path, value in values.items():
        variables[path].assign(value)
