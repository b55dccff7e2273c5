"""GLaMM (Rasheed et al., CVPR 2024) as a pixcore plugin: grounded conversation, FullScope and RegCap."""
