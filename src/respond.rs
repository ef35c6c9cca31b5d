//! Words every answer that the gateway itself gives: one table of statuses, one place per body format.
