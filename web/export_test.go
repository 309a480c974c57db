package web

// PerNetwork is how many connections one network has.
const PerNetwork = maxPerNetwork
