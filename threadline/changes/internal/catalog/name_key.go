package catalog

// NameKey says what to do about a table without a key.
const NameKey = "name the columns of a unique index over NOT NULL columns in Key of capture.Table"
