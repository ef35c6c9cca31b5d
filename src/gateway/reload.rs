//! A new snapshot on SIGHUP and when files change; the old one stays when the new one does not validate.
