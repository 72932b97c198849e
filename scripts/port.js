/**
 * The port that `PORT` asks for; 3000 where it isn't set, and 0 for any that is free.
 *
 * @throws RangeError for anything that is no port.
 */
export const portOf = (text = "3000") => {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  const got = text === "" ? "it is empty" : `got ${JSON.stringify(text)}`;
  throw new RangeError(`PORT must be a whole number from 0 to 65535, ${got}.`);
};
