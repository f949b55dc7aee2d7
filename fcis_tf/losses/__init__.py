"""What the network learns from: targets, example selection and the joint loss."""

from fcis_tf.losses.instance_fcn_loss import InstanceFCNLoss
from fcis_tf.losses.joint_loss import JointLoss
from fcis_tf.losses.online_hard_example_mining import OnlineHardExampleMining

__all__ = ["InstanceFCNLoss", "JointLoss", "OnlineHardExampleMining"]
