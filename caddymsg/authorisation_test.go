package caddymsg_test

// unfinished is true while operations are still to come that the tables know of.
const unfinished = true
