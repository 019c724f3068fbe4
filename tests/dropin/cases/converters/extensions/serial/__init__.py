from thingsboard_gateway.connectors.serial.guide_uplink import GuideUplinkConverter
from authors_own_tree.somewhere import nothing  # only in its author's tree
