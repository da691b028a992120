//! The XDP datapath: slots, routes, attachment.
