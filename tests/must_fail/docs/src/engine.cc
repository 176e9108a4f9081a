class Engine {};
