"""PASCAL VOC's classes, which SBD shares."""

VOC_URL = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"

# In the order of their numbers, from 1.
VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
