/* Numbers in print, and numbers as they are typed. Pure functions: nothing here knows the page. */

/* Four significant digits, as microgrant.ops.numbers writes them in Python, tie for tie: there a
   number halfway between two is rounded to the even digit, here away from zero. */
function number(x) {
  if (Number.isNaN(x)) return "nan";
  const sign = x < 0 ? "−" : "";
  const amount = Math.abs(x);
  if (amount === Infinity) return sign + "inf";
  if (amount === 0) return "0";
  if (amount >= 9999.5 && amount < 99999.5) return sign + wholeHalfToEven(amount);
  let [digits, exponent] = amount.toExponential(3).split("e");
  const exact = amount.toExponential(60).replace(".", "");
  if (/^50*$/.test(exact.slice(4).split("e")[0]) && Number(exact[3]) % 2 === 0) {
    [digits, exponent] = [exact[0] + "." + exact.slice(1, 4), exact.split("e")[1]];
  }
  digits = digits.replace(/\.?0+$/, "");
  const power = Number(exponent);
  if (amount >= 1e-3 && amount < 99999.5) {
    return sign + String(Number(digits + "e" + power));
  }
  return sign + digits + "e" + String(power).replace("-", "−");
}

function wholeHalfToEven(amount) {
  const below = Math.floor(amount);
  const rest = amount - below;
  return String(rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below);
}

/* The sign before numbers as they are written here: ≈ if one of them is rounded. */
function equals(...values) {
  const exact = (x) => { const printed = typed(number(x)); return printed === null || close(printed, x); };
  return values.every(exact) ? "=" : "≈";
}

/* All digits, for those who compare with Python. */
function full(x) {
  if (Number.isNaN(x)) return "nan";
  if (Math.abs(x) === Infinity) return x > 0 ? "inf" : "−inf";
  return (Object.is(x, -0) ? "-0" : String(x)).replaceAll("-", "−");
}

/* What a person typed, as a number or a fraction; null if it is none. A comma may stand for the point, but not where
   it may as well set off thousands: 1,000 is a thousand for some, and one for others; but 0,125 is an eighth. */
function typed(text) {
  const parts = text.split("/");
  if (parts.length === 2) {
    const [over, under] = parts.map(typed);
    return over !== null && under !== null && Number.isFinite(over / under) ? over / under : null;
  }
  if (thousands(text)) return null;
  const plain = text.trim().replaceAll("−", "-").replace(",", ".").replace("∞", "inf").toLowerCase();
  const word = { inf: Infinity, "+inf": Infinity, "-inf": -Infinity, nan: NaN }[plain];
  if (word !== undefined) return word;
  return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : null;
}

const thousands = (text) => (/,\d{3}(?!\d)/.test(text) && !/^\s*[-+−]?0*,/.test(text)) || (text.includes(",") && text.includes("."));

function refusal(text) {
  return thousands(text) ? "Thousands or decimals? Leave the comma out, or write a point."
    : /^\s*[-+−]?[\d.,]+e\+?\d+\s*$/i.test(text) ? "That is beyond the largest number, 1.8e308: inf is infinity."
    : "Write a number, such as −2.5, 1/2, 1e-3, inf or nan.";
}

/* Whether two numbers agree but for rounding. */
function close(x, y) {
  return Object.is(x, y) || Math.abs(x - y) <= 1e-9 * Math.max(Math.abs(x), Math.abs(y), 1e-300) ||
    (Number.isNaN(x) && Number.isNaN(y));
}

/* A number moved by tenths, and not by 0.30000000000000004. */
const stepped = (value, tenths) => Number((value + tenths / 10).toPrecision(12));
