/* The error function, which JavaScript lacks: by its Taylor series near 0, and elsewhere by the
   continued fraction of Laplace. */
function erf(x) {
  if (!(Math.abs(x) < 1)) return x < 0 ? erfc(-x) - 1 : 1 - erfc(x);
  let term = 1, sum = 1;
  for (let n = 1; n < 20; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * x * sum;
}

function erfc(x) {
  if (x !== x) return x;
  if (x < 0.5) return 1 - erf(x);
  const a = Math.min(x, 40);  // it is 0 from there on
  let rest = a;
  for (let n = Math.ceil(200 / a / a) + 10; n > 0; n--) rest = a + n / 2 / rest;
  // exp makes a² times as much of the rounding of a²: this square is exact.
  const near = Math.floor(16 * a + 0.5) / 16;
  return Math.exp(-near * near) * Math.exp((near - a) * (near + a)) / (Math.sqrt(Math.PI) * rest);
}
