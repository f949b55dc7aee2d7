"""The network: an atrous ResNet, the RPN, and the position-sensitive inside/outside head or another system's."""

from fcis_tf.models.atrous_resnet import AtrousResNet
from fcis_tf.models.fcis import FCIS
from fcis_tf.models.heads import HEADS
from fcis_tf.models.inside_outside_head import InsideOutsideHead
from fcis_tf.models.instance_fcn import InstanceFCN
from fcis_tf.models.proposal_layer import ProposalLayer
from fcis_tf.models.region_proposal_network import RegionProposalNetwork

__all__ = [
    "FCIS",
    "HEADS",
    "AtrousResNet",
    "InsideOutsideHead",
    "InstanceFCN",
    "ProposalLayer",
    "RegionProposalNetwork",
]
