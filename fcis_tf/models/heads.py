"""The heads of the compared systems, by the values of `model.head`."""

from fcis_tf.models.inside_outside_head import InsideOutsideHead
from fcis_tf.models.mnc_head import MNCHead
from fcis_tf.models.naive_mnc_head import NaiveMNCHead
from fcis_tf.models.rfcn_head import RFCNHead
from fcis_tf.models.separate_maps_head import SeparateMapsHead

HEADS = {
    "inside_outside": InsideOutsideHead,
    "separate_maps": SeparateMapsHead,
    "naive_mnc": NaiveMNCHead,
    "mnc": MNCHead,
    "rfcn": RFCNHead,
}
