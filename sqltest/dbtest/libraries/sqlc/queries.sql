-- name: PlaceOrder :one
INSERT INTO orders (note) VALUES ($1) RETURNING *;

-- name: ChangeNote :execrows
UPDATE orders SET note = sqlc.arg(after) WHERE note = sqlc.arg(before);

-- name: CancelOrder :exec
DELETE FROM orders WHERE note = $1;
